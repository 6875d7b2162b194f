/** Names of commands, as other extensions and settings may use them. */
export const CommandIds = {
  showPanel: 'lpmx:show-panel',
  pullImage: 'lpmx:pull-image',
  loadImage: 'lpmx:load-image',
  newNotebook: 'lpmx:new-notebook',
  downloadImage: 'lpmx:download-image',
  bundleImage: 'lpmx:bundle-image',
  removeImage: 'lpmx:remove-image',
  createContainer: 'lpmx:create-container',
  showContainer: 'lpmx:show-container',
  notebookInContainer: 'lpmx:notebook-in-container',
  openTerminal: 'lpmx:open-terminal',
  commitContainer: 'lpmx:commit-container',
  bundleContainer: 'lpmx:bundle-container',
  resetContainer: 'lpmx:reset-container',
  stopContainer: 'lpmx:stop-container',
  removeContainer: 'lpmx:remove-container',
  collectGarbage: 'lpmx:collect-garbage'
} as const;
