"""Foreign Modbus masters behind one face: read(first, count), write_one, write_many, mask_write.

Addresses are PDU addresses: register 4xxxx is xxxx - 1. A refusal raises Refused with the
exception code. None of this is our code; what differs between versions is kept in here.
"""
import ctypes
import ctypes.util
import re
import socket
import struct
import subprocess

from pymodbus.client import ModbusSerialClient, ModbusTcpClient

TIMEOUT_S = 5


class Refused(Exception):
    def __init__(self, code):
        super().__init__("exception %s" % code)
        self.code = code


def u32(words, at=0):
    return words[at] << 16 | words[at + 1]


# ---- pymodbus ----


class Pymodbus:
    """pymodbus 3.0 calls the unit id slave= in most calls and unit= in two, and later versions
    rename it: only known here."""

    def __init__(self, client, unit=1):
        self._client, self._unit = client, {"slave": unit}
        self._pdu_unit = {"unit": unit}
        assert client.connect()

    @classmethod
    def tcp(cls, port, unit=1):
        return cls(ModbusTcpClient("127.0.0.1", port=port, timeout=TIMEOUT_S), unit)

    @classmethod
    def rtu(cls, path, unit=1):
        return cls(ModbusSerialClient(path, baudrate=9600, timeout=TIMEOUT_S), unit)

    def _checked(self, answer):
        if hasattr(answer, "exception_code"):
            raise Refused(answer.exception_code)
        assert not answer.isError(), answer
        return answer

    def read(self, first, count):
        return self._checked(
            self._client.read_holding_registers(first, count, **self._unit)).registers

    def read_input(self, first, count):
        return self._checked(
            self._client.read_input_registers(first, count, **self._unit)).registers

    def write_one(self, address, value):
        self._checked(self._client.write_register(address, value, **self._unit))

    def write_many(self, first, words):
        self._checked(self._client.write_registers(first, words, **self._unit))

    def mask_write(self, address, and_mask, or_mask):
        self._checked(self._client.mask_write_register(
            address=address, and_mask=and_mask, or_mask=or_mask, **self._pdu_unit))

    def read_write(self, first, count, write_first, words):
        return self._checked(self._client.readwrite_registers(
            read_address=first, read_count=count, write_address=write_first,
            write_registers=words, **self._pdu_unit)).registers

    def close(self):
        self._client.close()


# ---- libmodbus, through ctypes ----

_lib = ctypes.CDLL("libmodbus.so.5", use_errno=True)
_lib.modbus_new_tcp.restype = ctypes.c_void_p
_lib.modbus_new_rtu.restype = ctypes.c_void_p
_lib.modbus_new_rtu.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_char,
                                ctypes.c_int, ctypes.c_int]
_lib.modbus_strerror.restype = ctypes.c_char_p
_MODBUS_EXCEPTION = 112345678  # MODBUS_ENOBASE in modbus.h; the exception code is added


class Libmodbus:
    def __init__(self, context, unit=1):
        assert context
        self._context = ctypes.c_void_p(context)
        _lib.modbus_set_slave(self._context, unit)
        _lib.modbus_set_response_timeout(self._context, TIMEOUT_S, 0)
        assert _lib.modbus_connect(self._context) == 0, self._error()

    @classmethod
    def tcp(cls, port, unit=1):
        return cls(_lib.modbus_new_tcp(b"127.0.0.1", port), unit)

    @classmethod
    def rtu(cls, path, unit=1):
        return cls(_lib.modbus_new_rtu(path.encode(), 9600, b"N", 8, 1), unit)

    @staticmethod
    def _error():
        return _lib.modbus_strerror(ctypes.get_errno()).decode()

    def _checked(self, count, expected):
        error = ctypes.get_errno()
        if count == -1 and _MODBUS_EXCEPTION < error < _MODBUS_EXCEPTION + 12:
            raise Refused(error - _MODBUS_EXCEPTION)
        assert count == expected, self._error()

    def _read(self, function, first, count):
        words = (ctypes.c_uint16 * count)()
        self._checked(function(self._context, first, count, words), count)
        return list(words)

    def read(self, first, count):
        return self._read(_lib.modbus_read_registers, first, count)

    def read_input(self, first, count):
        return self._read(_lib.modbus_read_input_registers, first, count)

    def write_one(self, address, value):
        self._checked(_lib.modbus_write_register(self._context, address, value), 1)

    def write_many(self, first, words):
        data = (ctypes.c_uint16 * len(words))(*words)
        self._checked(_lib.modbus_write_registers(self._context, first, len(words), data),
                      len(words))

    def mask_write(self, address, and_mask, or_mask):
        self._checked(_lib.modbus_mask_write_register(
            self._context, address, ctypes.c_uint16(and_mask), ctypes.c_uint16(or_mask)), 1)

    def read_write(self, first, count, write_first, words):
        data = (ctypes.c_uint16 * len(words))(*words)
        got = (ctypes.c_uint16 * count)()
        self._checked(_lib.modbus_write_and_read_registers(
            self._context, write_first, len(words), data, first, count, got), count)
        return list(got)

    def close(self):
        _lib.modbus_close(self._context)
        _lib.modbus_free(self._context)


# ---- mbpoll, the command that people try first ----


class Mbpoll:
    """It knows reading and writing only; refusals are told in words."""

    _WORDS = {"Illegal function": 1, "Illegal data address": 2, "Illegal data value": 3}

    def __init__(self, where, target, unit=1):
        self._base = ["mbpoll", "-1", "-0", "-q", "-a", str(unit), "-t", "4",
                      "-o", str(TIMEOUT_S), *where]
        self._target = target

    @classmethod
    def tcp(cls, port, unit=1):
        return cls(["-m", "tcp", "-p", str(port)], "127.0.0.1", unit)

    @classmethod
    def rtu(cls, path, unit=1):
        return cls(["-m", "rtu", "-b", "9600", "-P", "none"], path, unit)

    def _run(self, arguments, values=()):
        done = subprocess.run(self._base + arguments + [self._target] + [str(v) for v in values],
                              capture_output=True, text=True, timeout=30)
        text = done.stdout + done.stderr
        for words, code in self._WORDS.items():
            if words in text:
                raise Refused(code)
        assert done.returncode == 0, text
        return text

    def read(self, first, count):
        text = self._run(["-r", str(first), "-c", str(count)])
        found = re.findall(r"^\[(\d+)\]:\s+(\d+)", text, re.MULTILINE)
        assert [int(address) for address, _ in found] == list(range(first, first + count)), text
        return [int(value) for _, value in found]

    def write_many(self, first, words):
        self._run(["-r", str(first)], words)

    def close(self):
        pass


# ---- bytes ----


class Raw:
    """A TCP connection without any library: for exchanges that are given byte for byte."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)

    def exchange(self, request, length):
        self._socket.sendall(request)
        answer = b""
        while len(answer) < length:
            more = self._socket.recv(length - len(answer))
            assert more, "closed after " + answer.hex()
            answer += more
        return answer

    def pdu(self, pdu, unit=1):
        """Send a PDU, give back the answer's."""
        head = self.exchange(struct.pack(">HHHB", 0x5A5A, 0, len(pdu) + 1, unit) + pdu, 0)
        head = self.exchange(b"", 7)
        transaction, protocol, length, answered = struct.unpack(">HHHB", head)
        assert (transaction, protocol, answered) == (0x5A5A, 0, unit)
        return self.exchange(b"", length - 1)

    def close(self):
        self._socket.close()
