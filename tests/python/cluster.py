"""The connection that a kubeconfig describes: mutual TLS with the client certificate in it."""

import base64

import grpc
import yaml


def channel(kubeconfig):
    """Opens a channel to the server of the kubeconfig's current context."""
    with open(kubeconfig, encoding="utf-8") as file:
        config = yaml.safe_load(file)

    def entry(kind, name):
        return next(item[kind] for item in config[kind + "s"] if item["name"] == name)

    context = entry("context", config["current-context"])
    cluster, user = entry("cluster", context["cluster"]), entry("user", context["user"])
    credentials = grpc.ssl_channel_credentials(
        root_certificates=base64.b64decode(cluster["certificate-authority-data"]),
        private_key=base64.b64decode(user["client-key-data"]),
        certificate_chain=base64.b64decode(user["client-certificate-data"]),
    )
    return grpc.secure_channel(cluster["server"].removeprefix("https://"), credentials)
