"""Wire structs, one module per resource: the only source for the server, its clients and the OpenAPI document.

Field names are those of the platform reference (§4); ours are written in camelCase beside them.
"""
