"""Runs the shop, and the payment service beside it."""

import argparse
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from example_app.processes import child, listen, port, serve, url_of, wait_for

WHAT_TO_TRY = """\
The shop is at {shop}, its payment service at {payments}. Ctrl-C ends both.

Watch its breakers in a browser, or in another terminal; this one opens a breaker by hand:
  {shop}/breakers
  {command} top {shop}/breakers
  {command} force-open {shop}/breakers payments

Buy some tea, and see what the breakers make of it:
  curl -i -X POST {shop}/checkout
  curl {shop}/breakers

Let payments fail, and buy ten times: five callers wait and get nothing, then the breaker is open.
  curl {payments}/_faults -H 'Content-Type: application/json' \\
    -d '{{"error_rate": 0.8, "latency_s": 2}}'
  for i in $(seq 10); do curl -s -o /dev/null -X POST {shop}/checkout \\
    -w '%{{http_code}} after %{{time_total}} s\\n'; done

While it is open, everything else works, and refunds know already that payments don't:
  curl {shop}/products
  curl -i -X POST {shop}/refunds

Heal them. Three seconds after the breaker opened, the next two buyers are its probes, and close it:
  curl {payments}/_faults -H 'Content-Type: application/json' -d '{{}}'
  curl -X POST {shop}/checkout; curl -X POST {shop}/checkout
  curl {shop}/diary
"""


def command_line() -> str:
    """Return the command of this installation, relative if it is below the working directory."""
    command = Path(sys.executable).with_name("breaker-asgi")
    below = command.is_relative_to(Path.cwd())
    return str(command.relative_to(Path.cwd()) if below else command)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m example_app", description=__doc__)
    parser.add_argument("--port", type=port, default=8000, help="the shop's; 0 for a free one")
    parser.add_argument("--payments-port", type=port, default=8001, help="likewise")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (
        suppress(KeyboardInterrupt),
        listen(options.port, "--port") as listener,
        listen(options.payments_port, "--payments-port") as payments_listener,
        child("example_app.payments:app", payments_listener) as payments,
    ):
        wait_for(f"{payments}/_stats")
        os.environ["SHOP_PAYMENTS_URL"] = payments
        shop = url_of(listener)
        print(WHAT_TO_TRY.format(shop=shop, payments=payments, command=command_line()), flush=True)
        serve("example_app.shop:app", listener, log_level="warning")


if __name__ == "__main__":
    main()
