"""Lesson 2: works on tasks, one at a time; several workers share the queue."""

import os
import time

from pocketmq_example import connect

SECONDS_PER_DOT = float(os.environ.get("SECONDS_PER_DOT", "1"))


def on_task(channel, method, properties, body):
    task = body.decode()
    print(f"working on {task!r}", flush=True)
    time.sleep(task.count(".") * SECONDS_PER_DOT)
    print(f"done with {task!r}", flush=True)
    channel.basic_ack(delivery_tag=method.delivery_tag)


connection = connect()
channel = connection.channel()
channel.queue_declare(queue="tasks", durable=True)

channel.basic_qos(prefetch_count=1)  # no second task before the first is done
channel.basic_consume(queue="tasks", on_message_callback=on_task)
print("waiting", flush=True)
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
