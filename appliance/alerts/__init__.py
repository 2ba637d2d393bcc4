"""Tells people elsewhere of problems that come and go: webhooks, mail, MQTT.

What a channel needs is imported when something is sent through it: a box that tells nobody pays nothing.
"""
