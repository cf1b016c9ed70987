"""Processes that fork while a client is in use."""

from __future__ import annotations

import json

import pytest

from conftest import SECRET, Lab, python

START = """
import json, multiprocessing, os, sys, threading, time, logging, svcauth
logging.basicConfig(level=logging.DEBUG, filename=os.devnull)
client = svcauth.Client(json.loads(sys.argv[1]))
node = sys.argv[2]

def call():
    with svcauth.urlopen(client, node) as response:
        return response.status
"""

PROGRAMS = {
    # A child serves the parent's token, and refreshes it by itself.
    "os.fork": """
token = client.token("smd")
children = []
for _ in range(8):
    child = os.fork()
    if not child:
        good = client.token("smd") == token and client.stats().token_requests == 0 and call() == 200
        sys.exit(0 if good else 1)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
assert client.token("smd") == token and client.stats().token_requests == 1
print("good")
""",
    "fork before the first token": """
child = os.fork()
assert client.token("smd")
if not child:
    client.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print("good")
""",
    # Threads are inside of the client all the time.
    "fork with busy threads": """
token = client.token("smd")
done = False
def busy():
    while not done:
        client.token("smd"); client.stats(); client.health(); client.authorization(node)
        client.authorization(node + "/" + str(time.monotonic()))
threads = [threading.Thread(target=busy) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(8):
    child = os.fork()
    if not child:
        good = client.lease("smd", timeout=30) and call() == 200
        client.close()
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
done = True
for thread in threads:
    thread.join()
print("good")
""",
    "a child that waits while its parent does": """
def quiet():
    try:
        client.lease("smd", timeout=20)
    except svcauth.Error:
        pass
threading.Thread(target=quiet, daemon=True).start()
while not client.stats().waited:
    time.sleep(0.001)
child = os.fork()
if not child:
    try:
        client.lease("smd", timeout=0.3)
    except svcauth.Timeout:
        sys.exit(0)
    sys.exit(1)
assert os.waitpid(child, 0)[1] == 0
print("good")
""",
    "multiprocessing": """
def call_one(_):
    return call()
client.token("smd")
context = multiprocessing.get_context("fork")
with context.Pool(4) as pool:
    assert pool.map(call_one, range(20)) == [200] * 20
assert client.stats().token_requests == 1
print("good")
""",
    "a client of a child that was closed in the parent": """
client.token("smd")
client.close()
child = os.fork()
if not child:
    try:
        client.token("smd")
    except svcauth.Closed:
        sys.exit(0)
    sys.exit(1)
assert os.waitpid(child, 0)[1] == 0
print("good")
""",
    "children of children": """
token = client.token("smd")
for depth in range(4):
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        if not depth:
            print("good")
        sys.exit(0)
    assert client.token("smd") == token and call() == 200
sys.exit(0)
""",
}


@pytest.mark.parametrize("how", PROGRAMS)
def test_a_forked_process_goes_on_with_its_parents_client(how: str, lab: Lab) -> None:
    if "waits" in how:
        lab.fault("token", {"action": "hold"})
    # Python 3.12 warns whoever forks with threads; that is what is tested here.
    filters = "import warnings\nwarnings.simplefilter('ignore', DeprecationWarning)\n"
    ran = python(filters + START + PROGRAMS[how], json.dumps(lab.config()), lab.node, BSS_SECRET=SECRET)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "good\n", "")
