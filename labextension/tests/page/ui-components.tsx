/** Stands in for @jupyterlab/ui-components: icons without a picture. */
import React from 'react';

const icon = { react: (): JSX.Element => <span /> };

export const addIcon = icon;
export const caretDownIcon = icon;
export const caretRightIcon = icon;
export const closeIcon = icon;
export const ellipsesIcon = icon;
export const fileUploadIcon = icon;
export const notebookIcon = icon;
export const refreshIcon = icon;
export const stopIcon = icon;
export const terminalIcon = icon;
export class LabIcon {}
