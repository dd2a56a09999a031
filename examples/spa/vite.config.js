import { defineConfig } from 'vite';

export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    // The policy of gateway.conf allows nothing inside the page itself: no script, no style, no data: address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // For `npm run dev`: the page is served from here, and what it asks for comes from the gateway of docker compose.
    proxy: { '/auth': 'http://localhost:8080', '/orders': 'http://localhost:8080' },
  },
});
