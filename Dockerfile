# Weir alone: built in one stage, run in another as a user without rights. Needs BuildKit, which Docker uses by itself.

FROM rust:1.95-bookworm AS builder

# librdkafka is built from source, by its own configure script.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ gcc make libssl-dev pkg-config python3 zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY host host
COPY wit wit
COPY migrations migrations
# The templates of `weir validator new`, and the SDK that a project in Rust takes along.
COPY validators validators

# The target folder is a cache that no layer keeps, so the program is copied out in the same step. Files keep the dates that they
# had outside, and cargo goes by dates: touched, none of them passes for one that was built before.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    find host wit migrations validators -type f -exec touch {} + \
    && cargo build --release --locked --bin weir \
    && cp target/release/weir /usr/local/bin/weir

FROM debian:bookworm-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 weir \
    && useradd --uid 10001 --gid weir --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin weir

COPY --from=builder /usr/local/bin/weir /usr/local/bin/weir
# Mount a folder of your own over it: these are the policies of the repository.
COPY policies /etc/weir/policies

ENV WEIR_POLICIES=/etc/weir/policies
USER weir
EXPOSE 3010

# There is no curl here, and none is needed. It asks for life only: a replica that waits for its database is not to be killed.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD bash -c 'exec 3<>/dev/tcp/127.0.0.1/${PORT:-3010} \
        && printf "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" >&3 \
        && read -r line <&3 && [[ $line == *" 200 "* ]]'

ENTRYPOINT ["weir"]
CMD ["serve"]
