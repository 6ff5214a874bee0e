"""Celery's side of units: what a message is, and how it is sent."""

from __future__ import annotations

import logging
from typing import Final

from celery import Celery
from kombu.exceptions import ChannelError

from dagstack_plugins.wording import raised

TASK: Final = "dagstack_plugins.unit"
"""The name of Celery's task that does a unit."""
_CONNECT: Final = 3.0
"""Seconds to wait for a connection."""
_ANSWER: Final = 20.0
"""Seconds to wait for an answer."""
_log: Final = logging.getLogger("dagstack_plugins.units")


def celery_app(broker: str) -> Celery:
    """An application of Celery that sends units, and reads them.

    Args:
        broker: the address of a Redis database.
    """
    app = Celery("dagstack_plugins", broker=broker, set_as_current=False)
    app.conf.update(
        # These go before CELERY_BROKER_URL, which another application in the same environment may have set.
        broker_read_url=broker,
        broker_write_url=broker,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker waits for its broker
        broker_transport_options={
            "socket_connect_timeout": _CONNECT,
            "socket_timeout": _ANSWER,  # without it, a connection that died silently is waited on for ever
            "socket_keepalive": True,
            "priority_steps": list(range(10)),
        },
        task_publish_retry_policy={"max_retries": 2, "interval_start": 0.1, "interval_step": 0.4, "interval_max": 0.5},
        task_ignore_result=True,  # what comes of units is in the ledger
        # It is the ledger that waits for a unit's end. Messages that wait for it as well end a worker whose connection
        # breaks meanwhile (celery 5.7), and those of a worker that dies come again after an hour only.
        task_acks_late=False,
        worker_disable_prefetch=True,  # who has its hands full takes nothing from others
        worker_proc_alive_timeout=120,  # seconds for plugins to start
    )
    return app


class Messages:
    """Sends messages.

    Args:
        broker: the address of a Redis database.
    """

    def __init__(self, broker: str) -> None:
        self._app = celery_app(broker)

    def send(self, unit: str, queue: str, priority: int) -> None:
        """Send a unit's message; if it can't be sent, who looks after the units finds that out, and sends it later."""
        try:
            self._app.send_task(TASK, (unit,), task_id=unit, queue=queue, priority=priority, ignore_result=True)
        except Exception as error:  # whatever it is, the unit is in the ledger
            _log.warning(
                "the message of unit %s can't be sent now (%s); it is, once that is possible", unit, raised(error)
            )

    def count(self, queue: str) -> int:
        """How many messages wait in a queue.

        Raises:
            Exception: if the broker can't be reached, as Celery has it.
        """
        with self._app.pool.acquire(block=True, timeout=_CONNECT) as connection:
            try:
                return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
            except ChannelError:  # Redis has no empty lists
                return 0

    def close(self) -> None:
        """Let go of the connections."""
        self._app.close()
