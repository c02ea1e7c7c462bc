import { story } from '../story.mjs';

export default (world) => story(world, 'server');
