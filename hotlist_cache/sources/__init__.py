"""A source's own file comes in; entries go out, and every row that is not taken is told by line and reason.

`reading.read_source` is the door. One module a source says how its file is framed and what stands where;
`reading` judges what they found, so that a plate, a code and a state mean the same in each.
"""
