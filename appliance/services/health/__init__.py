"""Whether the box is well: one small file for each thing that is looked at.

A file holds pure rules (a reading becomes troubles, in words for people) and, where something has to be remembered
or waited for, a check that the appliance runs. The rules serve `weir doctor` on a box that is down as well.
"""
