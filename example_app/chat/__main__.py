"""Runs the chat, and the two providers beside it."""

import argparse
import os
import signal
import sys
from contextlib import suppress

from example_app.processes import child, listen, port, serve, url_of, wait_for

WHAT_TO_TRY = """\
The chat is at {chat}, its providers at {first} and {second}. Ctrl-C ends all.

Ask it something, and see what the breakers make of it:
  curl -N '{chat}/chat?q=why'
  curl {chat}/breakers

Have the first provider overloaded, slow, or cut its answers after three tokens; {{}} heals it:
  curl {first}/behaviour -H 'Content-Type: application/json' -d '{{"status": 529}}'
  curl {first}/behaviour -H 'Content-Type: application/json' -d '{{"slow": 3}}'
  curl {first}/behaviour -H 'Content-Type: application/json' -d '{{"cut_after": 3}}'

Or kill one, or both, and ask again:
  curl -X POST {first}/kill
  curl -X POST {second}/kill
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m example_app.chat", description=__doc__)
    parser.add_argument("--port", type=port, default=8000, help="the chat's; 0 for a free one")
    parser.add_argument("--first-port", type=port, default=8001, help="likewise")
    parser.add_argument("--second-port", type=port, default=8002, help="likewise")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    provider = "example_app.chat.provider:app"
    with (
        suppress(KeyboardInterrupt),
        listen(options.port, "--port") as listener,
        listen(options.first_port, "--first-port") as first_listener,
        listen(options.second_port, "--second-port") as second_listener,
        child(provider, first_listener, PROVIDER_NAME="first") as first,
        child(provider, second_listener, PROVIDER_NAME="second") as second,
    ):
        wait_for(f"{first}/behaviour")
        wait_for(f"{second}/behaviour")
        os.environ |= {"CHAT_FIRST_URL": first, "CHAT_SECOND_URL": second}
        addresses = {"chat": url_of(listener), "first": first, "second": second}
        print(WHAT_TO_TRY.format(**addresses), flush=True)
        serve("example_app.chat.service:app", listener, log_level="warning")


if __name__ == "__main__":
    main()
