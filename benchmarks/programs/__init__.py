"""Programs that each measure one library and end with a line of JSON.

Those of other libraries run in an environment of their own, so they import nothing of ours.
"""
