"""What a net does with an input of one shape is a list of operations: traced once, rewritten by rules, run.

`trace` is that list, `tracer` notes what layers do with values that have no numbers, `calls` is how layers are called
meanwhile, and `tape` derives the backward pass of containers from their calls. `program` makes a list ready to run,
`run` keeps the programs of a net, `passes` runs one, `tables` shows them. `trees` are what layers take and give.
"""
