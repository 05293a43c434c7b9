"""One run: reads what to do, does it, says how it ended. argv[1] is the folder of modules."""

import logging
import sys
import traceback
import warnings

from .wire import VERSION, Wire, harden


def main():
    harden()
    wire = Wire()
    order = wire.order()
    run = order["run"]
    # First of all a word: importing woob takes a while.
    wire.emit("hello", v=VERSION, run=run, worker="woob")
    warnings.simplefilter("ignore")
    # Never more talkative than this: woob writes addresses and forms to its log.
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    try:
        from .describe import describe
        from .fetch import fetch

        if order["op"] == "describe":
            end = describe(sys.argv[1], wire)
        else:
            end = fetch(sys.argv[1], order, wire)
    except (Exception, SystemExit) as e:  # woob itself cannot be imported, or we are wrong
        traceback.print_exc()
        reason = "load" if isinstance(e, ImportError) else "bug"
        end = {"outcome": {"kind": "connector_error", "reason": reason, "text": type(e).__name__}}
    wire.emit("result", run=run, **end)
