"""The one door by which the server calls addresses that a client chose: callbacks, and packages fetched by URI.

What is called must be allowed by scheme, host and port (``rules``), in the one spelling that everybody reads alike
(``urls``). A name is looked up once, what comes of it is checked by its class (``classes``), and the connection goes to
exactly that address (``door``). Redirects, proxies and credentials of the environment are no part of it: there is no
code for them. Above the connection: ``exchange`` (HTTP) and ``ftp``.
"""
