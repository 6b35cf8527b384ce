#ifndef VERSION_H
#define VERSION_H

#define MCPGWD_VERSION "0.1.0"

#endif
