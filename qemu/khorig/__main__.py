# SPDX-License-Identifier: BSD-3-Clause
"""`python3 -m khorig`"""

import sys

from khorig.cli import exit_codes

if __name__ == "__main__":
    try:
        from khorig.cli.main import main
    except KeyboardInterrupt:  # importing takes long enough for somebody to change their mind
        sys.exit(exit_codes.SIGNAL + 2)
    main()
