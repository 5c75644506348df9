import js from '@eslint/js';
import globals from 'globals';

const browser = { ...globals.browser };

export default [
  {
    ignores: [
      '.venv/**',
      '.venv-integrations/**',
      '.venv-docs/**',
      'build/**',
      'dist/**',
      'runs/**',
      'node_modules/**',
    ],
  },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: 'error',
      'max-len': ['error', { code: 120 }],
      'no-implicit-globals': 'error',
      'no-shadow': 'error',
      'no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'no-var': 'error',
      'object-shorthand': 'error',
      'one-var': ['error', 'never'],
      'prefer-const': 'error',
    },
  },
  {
    files: ['vizlib/ui/components/**/*.js'],
    languageOptions: { globals: browser },
    rules: { 'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }] },
  },
  {
    files: ['vizlib/compare/report.js'],
    languageOptions: { sourceType: 'script', globals: { ...browser, Plotly: 'readonly' } },
  },
  {
    files: ['vizlib/auditing/report/*.js'],
    languageOptions: { globals: browser },
  },
  { files: ['*.js', 'tests/js/**/*.js'], languageOptions: { globals: globals.node } },
];
