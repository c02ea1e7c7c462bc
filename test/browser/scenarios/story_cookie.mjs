import { story } from '../story.mjs';

export default (world) => story(world, 'cookie', { phone: true });
