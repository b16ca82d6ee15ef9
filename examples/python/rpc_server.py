"""Lesson 6: computes Fibonacci numbers for whoever asks."""

import pika
from pocketmq_example import connect


def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def on_request(channel, method, properties, body):
    n = int(body)
    print(f"fibonacci({n})", flush=True)
    channel.basic_publish(
        exchange="",
        routing_key=properties.reply_to,
        properties=pika.BasicProperties(correlation_id=properties.correlation_id),
        body=str(fibonacci(n)),
    )
    channel.basic_ack(delivery_tag=method.delivery_tag)


connection = connect()
channel = connection.channel()
channel.queue_declare(queue="rpc_queue")

channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue="rpc_queue", on_message_callback=on_request)
print("waiting", flush=True)
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
