/** Who may see hosts. Which ones, the query decides. */
import { definePolicy, signedIn } from '../identity/index.ts';

export const policy = definePolicy({ 'host.get': signedIn, 'host.list': signedIn });
