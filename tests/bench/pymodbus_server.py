#!/usr/bin/python3
"""The yardstick in Python: pymodbus's own asyncio server. Usage: pymodbus_server.py PORT."""
import asyncio
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartAsyncTcpServer

registers = ModbusSequentialDataBlock(0, [0] * 2000)
context = ModbusServerContext(slaves=ModbusSlaveContext(hr=registers, zero_mode=True), single=True)
asyncio.run(StartAsyncTcpServer(context, address=("127.0.0.1", int(sys.argv[1]))))
