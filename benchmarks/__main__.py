"""`python -m benchmarks`: a main module of its own, because each decoding process imports that of its parent."""

from benchmarks.performance import main

if __name__ == "__main__":
    main()
