"""Lesson 1: prints what comes to the queue hello, until it is interrupted."""

from pocketmq_example import connect


def on_message(channel, method, properties, body):
    print(f"received {body.decode()!r}", flush=True)


connection = connect()
channel = connection.channel()
channel.queue_declare(queue="hello")  # whichever program comes first

channel.basic_consume(queue="hello", on_message_callback=on_message, auto_ack=True)
print("waiting", flush=True)
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
