/** Stands in for @lumino/widgets. */
export class Menu {}
