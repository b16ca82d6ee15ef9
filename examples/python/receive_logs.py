"""Lesson 3: prints every log line, with a queue of its own."""

from pocketmq_example import connect


def on_line(channel, method, properties, body):
    print(f"received {body.decode()!r}", flush=True)


connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange="logs", exchange_type="fanout")

queue = channel.queue_declare(queue="", exclusive=True).method.queue
channel.queue_bind(exchange="logs", queue=queue)

channel.basic_consume(queue=queue, on_message_callback=on_line, auto_ack=True)
print("waiting", flush=True)
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
