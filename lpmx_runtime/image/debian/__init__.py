"""Debian's archive: mirrors, package lists, packages, and how they become a file system.

Nothing here needs a tool of the distribution. The one part that runs programs
is configure.py, and those are the image's own, inside the image.

    mirror.py    where packages come from
    release.py   what a suite has, and who signed it
    packages.py  the package lists
    version.py   which of two versions is later
    resolve.py   what belongs together
    deb.py       one package file
    tree.py      many package files as one layer
    configure.py the packages' own scripts
"""
