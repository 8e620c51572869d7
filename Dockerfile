# Strongroom's own image: five static programs in an otherwise empty root. It
# is what an agent's image copies from, and it runs by itself:
#
#   docker build -t strongroom .                          compiles in the build
#   docker build -t strongroom --target runtime-local .   takes `make build`'s programs; needs no network
#   docker run --rm --entrypoint /usr/bin/strongroom strongroom doctor
#
# Two lines add it to any agent image:
#
#   COPY --from=strongroom:latest /usr/bin/strongroom* /usr/bin/
#   ENTRYPOINT ["strongroom", "run", "--"]
#
# The stages that need no compiler come first: the classic builder builds
# every stage above its target.

# What the images have in common: no shell, no library, no user database.
FROM scratch AS base
LABEL org.opencontainers.image.title="Strongroom" \
      org.opencontainers.image.description="A sandbox supervisor for AI agents" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT"
ENTRYPOINT ["/usr/bin/strongroom", "run", "--"]

# Empty folders to copy: without a shell nothing else can make a workspace, and
# a home for the state folder, that belong to somebody.
FROM scratch AS empty
WORKDIR /home/agent
WORKDIR /workspace

FROM base AS base-nonroot
COPY --from=empty --chown=1000:1000 /workspace /workspace
COPY --from=empty --chown=1000:1000 /home/agent /home/agent
ENV HOME=/home/agent
USER 1000:1000

FROM scratch AS programs-local
ARG BIN=target/x86_64-unknown-linux-gnu/release
COPY ${BIN}/strongroom ${BIN}/strongroom-supervisor ${BIN}/strongroom-broker \
     ${BIN}/strongroom-recorder ${BIN}/strongroom-worker /usr/bin/

# The workspace belongs to root here; a start as root gives it to the sandbox
# user, and says so.
FROM base AS runtime-local
COPY --from=programs-local /usr/bin/ /usr/bin/
WORKDIR /workspace

FROM base-nonroot AS nonroot-local
COPY --from=programs-local /usr/bin/ /usr/bin/
WORKDIR /workspace

# What an agent that speaks MCP needs besides, to copy from: no session needs it.
FROM scratch AS mcp-local
ARG BIN=target/x86_64-unknown-linux-gnu/release
COPY ${BIN}/strongroom-mcp /usr/bin/

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --workspace --bins \
 && mkdir /programs /mcp \
 && cp target/x86_64-unknown-linux-gnu/release/strongroom-mcp /mcp/ \
 && for name in strongroom strongroom-supervisor strongroom-broker strongroom-recorder strongroom-worker; do \
        cp "target/x86_64-unknown-linux-gnu/release/$name" /programs/; \
    done

FROM scratch AS mcp
COPY --from=build /mcp/ /usr/bin/

FROM base-nonroot AS nonroot
COPY --from=build /programs/ /usr/bin/
WORKDIR /workspace

FROM base AS runtime
COPY --from=build /programs/ /usr/bin/
WORKDIR /workspace
