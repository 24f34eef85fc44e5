"""A program whose jobs say to the test that they run, and go on when it says so."""

import asyncio
import os
import socket

from riverrun import Client, Workers

workers = Workers()


@workers.job
async def ask() -> None:
    reader, writer = await asyncio.open_unix_connection(os.environ["APP_SOCKET"])
    writer.write(f"{os.getpid()} {os.environ.get('RIVERRUN_PROCESS')}\n".encode())
    await reader.readline()
    writer.close()


@workers.job
async def ask_and_ignore_cancellation() -> None:
    while True:
        try:
            await ask()
        except asyncio.CancelledError:
            continue


@workers.job
async def block_the_loop() -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["APP_SOCKET"])
        connection.sendall(f"{os.getpid()} {os.environ.get('RIVERRUN_PROCESS')}\n".encode())
        connection.recv(100)


client = Client(
    os.environ["APP_DATABASE_URL"],
    workers=workers,
    queues={"default": 1},
    fetch_poll_interval=0.1,
    hard_stop_timeout=0.2,
)
