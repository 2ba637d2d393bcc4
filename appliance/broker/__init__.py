"""The message broker of the box: Mosquitto, configured and looked after as nginx is (`appliance.proxy`).

Who may do what is made from the database (`acl`, `document`); the process is one of ours in development and a unit
when installed (`process`, `unit`); `controller` keeps both as they are wanted.
"""
