"""Rates: how many requests a minute a key may send, from all clients and from one address.

The generic cell rate algorithm (ITU-T I.371, as virtual scheduling): one number for each count, the
time at which its minute would be empty again, in place of a list of requests. A full minute may
come at once, then one request each 60 s / rate.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from groundup.http.keys import ClientKey

MINUTE_S = 60.0
# Of addresses that are remembered, some 10 MB; beyond, the one that was seen least recently is
# forgotten.
MAX_COUNTS = 50_000
# What one household or phone is given of IPv6.
IPV6_PREFIX = 64


class Rates:
    """Counts of the keys and addresses of now. `clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_until: OrderedDict[tuple[str, str], float] = OrderedDict()

    def wait_s(self, key: ClientKey, address: str) -> int:
        """Count a request, and return 0; or count nothing, and return after how many seconds it may
        be sent again.
        """
        rates = {
            (key.name, ""): key.requests_per_minute,
            (key.name, network_of(address)): key.requests_per_minute_and_address,
        }
        steps = {count: MINUTE_S / rate for count, rate in rates.items() if rate is not None}
        now = self._clock()
        after = {
            count: max(now, self._full_until.get(count, now)) + step
            for count, step in steps.items()
        }
        wait = max((time - now - MINUTE_S for time in after.values()), default=0.0)
        if wait > 1e-6:
            return math.ceil(wait)
        for count, until in after.items():
            self._full_until[count] = until
            self._full_until.move_to_end(count)
        while len(self._full_until) > MAX_COUNTS:
            self._full_until.popitem(last=False)
        return 0


def network_of(address: str) -> str:
    """Return what is counted as one client: an IPv4 address, or an IPv6 network of 64 bits.

    >>> network_of("192.0.2.7"), network_of("2001:db8::1:2"), network_of("a unix socket")
    ('192.0.2.7', '2001:db8::', 'a unix socket')
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), IPV6_PREFIX), strict=False).network_address)
    return str(found)
