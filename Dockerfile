# syntax=docker/dockerfile:1
# The one binary, in a small image: `docker build --tag mallbots:0.1.0 .`

FROM rust:1.95.0-slim-bookworm AS base
WORKDIR /mall
# The image has the compiler; what developers use besides is not needed.
ENV RUSTUP_TOOLCHAIN=1.95.0 CARGO_TERM_COLOR=never
RUN cargo install --locked cargo-chef --version 0.1.78

# What the dependencies are, without what changes every day.
FROM base AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

# The dependencies: built again only when they change.
FROM base AS build
COPY --from=plan /mall/recipe.json recipe.json
RUN cargo chef cook --release --locked --package mallbots --recipe-path recipe.json
COPY . .
RUN cargo build --release --locked --package mallbots

FROM debian:12.12-slim AS mall
# hadolint ignore=DL3008 # certificates should be the newest there are
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home mallbots \
    && install --directory --owner mallbots /data
COPY --from=build /mall/target/release/mallbots /usr/local/bin/mallbots

LABEL org.opencontainers.image.title="MallBots" \
    org.opencontainers.image.description="A shopping mall served by robots, as a live GraphQL gateway" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0 OR MIT"

USER 10001
# Without a database of its own the mall keeps files here.
VOLUME /data
ENV MALLBOTS_DATA=/data MALLBOTS_LOG_FORMAT=json
EXPOSE 8080
STOPSIGNAL SIGTERM
# Ready, that is: what is restarted when it is not, is up to whoever looks.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["mallbots", "health"]
ENTRYPOINT ["mallbots"]
CMD ["serve"]
