/** How the parts of the image builder tell what they are doing. Image builder only. */

/** `step` is a short sentence; `percent` 0-100, or null when unknown. */
export type Report = (step: string, percent: number | null) => void;
