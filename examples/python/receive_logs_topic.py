"""Lesson 5: prints the log lines whose keys match the patterns it is told."""

import sys

from pocketmq_example import connect


def on_line(channel, method, properties, body):
    print(f"received {method.routing_key}: {body.decode()!r}", flush=True)


patterns = sys.argv[1:]
if not patterns:
    sys.exit("usage: receive_logs_topic.py PATTERN...")

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange="topic_logs", exchange_type="topic")

queue = channel.queue_declare(queue="", exclusive=True).method.queue
for pattern in patterns:
    channel.queue_bind(exchange="topic_logs", queue=queue, routing_key=pattern)

channel.basic_consume(queue=queue, on_message_callback=on_line, auto_ack=True)
print("waiting", flush=True)
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
