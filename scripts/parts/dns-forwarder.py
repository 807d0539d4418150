"""Answers DNS on the engine's bridge by asking the machine's own name server.

For machines whose name server listens on loopback, where containers cannot
reach it. Questions and answers are passed on unread.
"""
import argparse
import socket
import socketserver
import threading

TIMEOUT = 5


def ask_datagram(server, question):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.settimeout(TIMEOUT)
        out.connect((server, 53))
        out.send(question)
        return out.recv(65535)


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise OSError("the connection ended early")
        data += piece
    return data


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        question, back = self.request
        try:
            back.sendto(ask_datagram(self.server.ask, question), self.client_address)
        except OSError as error:
            print(f"no answer from {self.server.ask}: {error}", flush=True)


class Stream(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.request.settimeout(TIMEOUT)
            head = read_exactly(self.request, 2)
            question = head + read_exactly(self.request, int.from_bytes(head, "big"))
            with socket.create_connection((self.server.ask, 53), TIMEOUT) as out:
                out.sendall(question)
                head = read_exactly(out, 2)
                self.request.sendall(head + read_exactly(out, int.from_bytes(head, "big")))
        except OSError as error:
            print(f"no answer from {self.server.ask}: {error}", flush=True)


class DatagramServer(socketserver.ThreadingUDPServer):
    daemon_threads = True
    max_packet_size = 65535


class StreamServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--marker", help="a text that lets a process list tell whose this is")
    options.add_argument("listen")
    options.add_argument("ask")
    args = options.parse_args()

    servers = [DatagramServer((args.listen, 53), Datagram), StreamServer((args.listen, 53), Stream)]
    for server in servers:
        server.ask = args.ask
    threading.Thread(target=servers[1].serve_forever, daemon=True).start()
    servers[0].serve_forever()


if __name__ == "__main__":
    main()
