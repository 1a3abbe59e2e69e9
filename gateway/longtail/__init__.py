"""The long tail of providers: litellm in a process of its own, which speaks the OpenAI wire on a unix socket.

A program beside the gateway, not a part of it: litellm takes seconds to import and 150 MB to keep, holds state at
module level, and pins its dependencies. So it may run on a Python of its own, and nothing here imports the gateway.
"""
