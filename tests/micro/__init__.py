"""The hot parts of a job's way, measured one by one: `make micro`.

`make test` runs each once, so that they keep working; its times mean nothing. In names, `thousand`
says that one call does a thousand jobs.
"""
