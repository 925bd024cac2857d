"""How others wait: the default schedule of every other poller of long-running operations.

Read from their sources: google-api-core 2.44.0 (`future/polling.py`, `future/async_future.py`,
`retry/retry_base.py`), google-cloud-go (`longrunning.go`, `gax-go/v2/call_option.go`),
google-cloud-rust (`gax/exponential_backoff.rs`), gax-java (`ExponentialRetryAlgorithm.java`),
google-cloud-cpp (`workflows_option_defaults.cc`), google-gax 5.0.8 for Node (`gax.js`,
`longrunning.js`), the gcloud CLI (`waiter.py`), Terraform's google provider (`retry/state.go`,
`common_operation.go`) and azure-core 1.41.0 (`polling/base_polling.py`).

They are treated kindly. A poll that is refused for the quota costs them that poll: they go
on with their schedule, although some would give up. Their overall deadlines, 5 to 30
minutes, are ignored. The poll that some make at once, when the operation was just seen
running, is left out, except Terraform's, which its schedule begins with. Where a source says
nothing of jitter there is none.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["PEERS", "Jitter", "Peer"]


class Jitter(enum.Enum):
    NONE = "none"
    FULL = "uniform from 0 to the wait"
    ADDED = "uniform from 0 to 1 s, added"


@dataclass(frozen=True, slots=True)
class Peer:
    """Waits `initial` seconds, then `factor` times as long each time, up to `longest`.

    Attributes:
        name: As shown.
        lead: Seconds before the first poll, if that is a wait of its own.
    """

    name: str
    initial: float
    factor: float = 1.0
    longest: float = float("inf")
    jitter: Jitter = Jitter.NONE
    lead: float | None = None

    def waits(self, dice: random.Random) -> Iterator[float]:
        """Seconds to wait before each poll."""
        if self.lead is not None:
            yield self.lead
        wait, jitter, uniform = self.initial, self.jitter, dice.random
        while True:
            if jitter is Jitter.FULL:
                yield wait * uniform()
            elif jitter is Jitter.ADDED:
                yield wait + uniform()
            else:
                yield wait
            wait = min(wait * self.factor, self.longest)


PEERS = (
    Peer("google-api-core", 1, 1.5, 20, Jitter.FULL),
    Peer("google-api-core async", 1, 2, 60, Jitter.FULL),
    Peer("Go", 1, 2, 60, Jitter.FULL),
    Peer("Rust", 1, 2, 60),
    Peer("Java", 5, 1.5, 45, Jitter.FULL),
    Peer("C++", 1, 2, 300),
    Peer("Node", 0.1, 1.3, 60),
    Peer("gcloud", 2, 1.4, 180, Jitter.ADDED, lead=1),
    Peer("Terraform", 2, 2, 10, lead=0),
    Peer("Azure", 30),
    Peer("fixed 5 s", 5),
    Peer("fixed 10 s", 10),
)
