/* What this binary was built from; build-agent.mjs passes the hash of the sources. */
#ifndef BUILD_H
#define BUILD_H
#ifndef AGENT_BUILD
#define AGENT_BUILD "unrecorded"
#endif
#endif
