"""Lesson 4: prints the log lines of the severities it is told."""

import sys

from pocketmq_example import connect


def on_line(channel, method, properties, body):
    print(f"received {method.routing_key}: {body.decode()!r}", flush=True)


severities = sys.argv[1:]
if not severities:
    sys.exit("usage: receive_logs_direct.py SEVERITY...")

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange="direct_logs", exchange_type="direct")

queue = channel.queue_declare(queue="", exclusive=True).method.queue
for severity in severities:
    channel.queue_bind(exchange="direct_logs", queue=queue, routing_key=severity)

channel.basic_consume(queue=queue, on_message_callback=on_line, auto_ack=True)
print("waiting", flush=True)
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
