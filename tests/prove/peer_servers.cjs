// Modbus TCP servers of others, as their own examples build them. Usage: peer_servers.cjs FOLDER NAME PORT
// FOLDER has node_modules with jsmodbus or modbus-serial.
const [folder, name, port] = process.argv.slice(2)
const load = (module) => require(`${folder}/node_modules/${module}`)

if (name === 'modbus-serial') {
    const { ServerTCP } = load(name)
    new ServerTCP({ getHoldingRegister: () => 0 }, { host: '127.0.0.1', port: Number(port), unitID: 1 })
        .on('socketError', () => {})
} else {
    const net = require('net')
    const server = new net.Server()
    new (load(name).server.TCP)(server, { holding: Buffer.alloc(4000) })
    server.listen(Number(port), '127.0.0.1')
}
