# SPDX-License-Identifier: BSD-3-Clause
"""`python3 -m khorig`"""

from khorig.cli.main import main

if __name__ == "__main__":
    main()
