"""Reads an IETF Token Status List as its draft says, with nothing but the standard
library. The signature is checked elsewhere.

usage: statuslist.py URI NOW INDEX... < list.jwt
Prints one status for each index, or "reject" and why.
"""

import base64
import json
import sys
import zlib


def part(text):
    if "=" in text:
        raise ValueError("padded")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def read(token, uri, now):
    header, payload, signature = token.split(".")
    header, payload = json.loads(part(header)), json.loads(part(payload))
    if header["typ"] != "statuslist+jwt" or header["alg"] in ("none", "HS256") or not header["kid"] or not part(signature):
        raise ValueError("header")
    if payload["sub"] != uri:
        raise ValueError("sub is not the address")
    if payload["iat"] > now or payload["exp"] <= now or payload["exp"] - payload["iat"] > 300:
        raise ValueError("time")
    if not 0 < payload["ttl"] <= 15:
        raise ValueError("ttl")
    bits = payload["status_list"]["bits"]
    if bits not in (1, 2, 4, 8):
        raise ValueError("bits")
    return bits, zlib.decompress(part(payload["status_list"]["lst"]))


def status(bits, array, index):
    each = 8 // bits
    if index < 0 or index >= len(array) * each:
        raise ValueError("index out of range")
    return array[index // each] >> (index % each * bits) & (1 << bits) - 1


def main():
    uri, now, wanted = sys.argv[1], int(sys.argv[2]), [int(i) for i in sys.argv[3:]]
    try:
        bits, array = read(sys.stdin.read(), uri, now)
        for index in wanted:
            print(status(bits, array, index))
    except (ValueError, KeyError, zlib.error) as e:
        print("reject", e)
        sys.exit(1)


main()
