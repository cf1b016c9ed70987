"""For a notebook: each `# %%` is a cell of Jupyter, or of an editor that knows them. No loop, no main, no await needed.

The client looks after the token from the first cell to the last, however long the notebook stays open.
"""

# %%
import os

import requests

import svcauth

tokens = svcauth.Client.open(os.environ.get("SVCAUTH_CONFIG", "svcauth.json"))
tokens

# %% What is configured, and how it is doing. Nothing here prints a secret.
tokens.health()

# %% A session whose calls carry the right token
smd = os.environ["SMD_URL"]
session = tokens.session()
response = session.get(f"{smd}/hsm/v2/State/Components/x0c0s0b0n0")
response.json()

# %% What the token is good for
tokens.lease("smd")

# %% In a notebook's own event loop, `await` works in a cell:
#
#     async with svcauth.AsyncClient.open("svcauth.json") as asynchronous:
#         await asynchronous.token("smd")

# %% On behalf of a user, whose token is in the environment
if "USER_TOKEN" in os.environ:
    with svcauth.user_token(os.environ["USER_TOKEN"]):
        print(session.get(f"{smd}/hsm/v2/State/Components/x0c0s0b0n0").status_code)

# %% A call without a session
print(requests.get(response.url, auth=tokens.auth(), timeout=60).status_code)
tokens.close()
