#!/usr/bin/env bash
# Runs all of `npm run check`, the started service included, on Node 24, whatever Node is installed: npm has the binary.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$PWD/node_modules/.cache/node24
if [ ! -x "$folder/bin/node" ]; then
  rm -rf "$folder"
  mkdir -p "$folder"
  platform=$(node -p 'process.platform + "-" + process.arch')
  archive=$(npm pack --silent --pack-destination "$folder" "node-$platform@24" | tail -n 1)
  tar -xzf "$folder/$archive" -C "$folder" --strip-components 1
fi

export PATH=$folder/bin:$PATH
echo "Node $(node --version)"
npm run check
