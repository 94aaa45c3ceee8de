# All images of docker-compose.yml, one per target: a program, and tpctl for its health check.
#
# Each finds its certificate, key, kubeconfig and the authority in /identity, and serves as a user without rights.
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
LABEL traceplane=
WORKDIR /src
COPY . .
# An image that brings the programs along in /out needs no compiler; scripts/local-images makes one.
RUN test -d /out || { \
    cargo build --release --locked --bins --workspace --exclude xtask \
    && mkdir /out \
    && for program in apiserver scheduler controller-manager kubelet-sim console tpctl; do \
        strip -o /out/$program target/release/$program || exit 1; \
    done \
    && rm -rf target; }

FROM ${BASE_IMAGE} AS base
LABEL traceplane=
COPY --from=build /out/tpctl /usr/local/bin/
# `nobody` of most images without a distribution; a number, so that nothing has to know the name.
USER 65532:65532

FROM base AS apiserver
COPY --from=build /out/apiserver /usr/local/bin/
EXPOSE 6443
HEALTHCHECK --interval=2s --timeout=3s --retries=15 \
    CMD ["tpctl", "health", "https://localhost:6443/readyz", "--cacert", "/identity/ca.crt"]
ENTRYPOINT ["apiserver"]

FROM base AS scheduler
COPY --from=build /out/scheduler /usr/local/bin/
EXPOSE 10259
HEALTHCHECK --interval=2s --timeout=3s --retries=15 \
    CMD ["tpctl", "health", "https://localhost:10259/readyz", "--cacert", "/identity/ca.crt"]
ENTRYPOINT ["scheduler"]

FROM base AS controller-manager
COPY --from=build /out/controller-manager /usr/local/bin/
EXPOSE 10257
HEALTHCHECK --interval=2s --timeout=3s --retries=15 \
    CMD ["tpctl", "health", "https://localhost:10257/readyz", "--cacert", "/identity/ca.crt"]
ENTRYPOINT ["controller-manager"]

FROM base AS kubelet
COPY --from=build /out/kubelet-sim /usr/local/bin/
# What the runtime remembers of its containers, so that they survive a restart of the kubelet.
USER 0:0
RUN install -d -o 65532 -g 65532 /var/lib/kubelet
USER 65532:65532
EXPOSE 10250
HEALTHCHECK --interval=2s --timeout=3s --retries=15 \
    CMD ["tpctl", "health", "https://localhost:10250/readyz", "--cacert", "/identity/ca.crt"]
ENTRYPOINT ["kubelet-sim"]

FROM base AS console
COPY --from=build /out/console /usr/local/bin/
EXPOSE 4317 4318 16685 16686
HEALTHCHECK --interval=2s --timeout=3s --retries=15 \
    CMD ["tpctl", "health", "http://localhost:16686/readyz"]
ENTRYPOINT ["console", "--bind-address=0.0.0.0"]

# Makes the certificates and ends. Only as root can it give each component its own files.
FROM base AS pki
USER 0:0
COPY docker/hand-out-identities /usr/local/bin/
ENTRYPOINT ["hand-out-identities"]
