import { defineConfig } from 'vitest/config';

const page = name => new URL(`./tests/page/${name}`, import.meta.url).pathname;

// What comes from JupyterLab's page is stood in for: only what the code uses of it.
export default defineConfig({
  resolve: {
    alias: {
      '@jupyterlab/apputils': page('apputils.ts'),
      '@jupyterlab/services': page('services.ts'),
      '@jupyterlab/ui-components': page('ui-components.tsx'),
      '@lumino/widgets': page('widgets.ts')
    }
  },
  test: {
    include: ['tests/**/*.test.{ts,tsx,mjs}'],
    environment: 'jsdom',
    testTimeout: 60_000, // of a loaded machine
    restoreMocks: true
  }
});
