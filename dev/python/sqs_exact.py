"""Makes moto's queues keep all messages, and deliver delayed messages on time.

moto's DeleteMessage replaces the list of messages without moto's lock, so a message that is sent at the same time is
lost. moto's long poll looks for messages once a second, so a delayed message comes up to one second late.
"""

from moto.core.utils import unix_time_millis
from moto.sqs.models import Queue

unlocked_delete = Queue.delete_message


def exact_delete(queue, receipt_handle):
    with queue._messages_lock:
        unlocked_delete(queue, receipt_handle)


def exact_wait(queue, timeout):
    """Waits until a message can be received: one that is sent, or one whose delay or visibility timeout ends."""
    with queue._messages_lock:
        now = unix_time_millis()
        due = (max(message.delayed_until, message.visible_at) for message in queue._messages)
        # A message is visible only after its time, so 1 ms is added.
        waits = [(at - now + 1) / 1000 for at in due if at >= now]
        queue._messages_lock.wait_for(lambda: queue.messages, timeout=min([timeout, *waits]))


def install():
    Queue.delete_message = exact_delete
    Queue.wait_for_messages = exact_wait
